"""One thin file a stage: declared params, load, one domain call, save. dvc.yaml says which stage needs what."""
