"""How good the synthetic images are: arithmetic on feature and pixel arrays, for the report only (never to choose)."""
