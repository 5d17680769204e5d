"""Does an independent classifier see in a synthetic image the class that it was made to show?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.errors import InputError


def labels_to_agreement(
    labels: NDArray[np.int64], predictions: NDArray[np.int64], classes: Sequence[str]
) -> pd.DataFrame:
    """Share of the synthetic images of each class that the oracle predicts as that class.

    labels, predictions: (N,), indices into `classes`. Returns one row a class: class, synthetic (how many images),
    agreement (percent; NaN for a class with no image). Raises InputError if the two differ in length.
    """
    if labels.shape != predictions.shape:
        raise InputError(f"{len(labels)} synthetic labels but {len(predictions)} predictions")
    synthetic = np.bincount(labels, minlength=len(classes))
    agreed = np.bincount(labels[labels == predictions], minlength=len(classes))
    agreement = np.full(len(classes), np.nan)
    np.divide(100.0 * agreed, synthetic, out=agreement, where=synthetic > 0)
    return pd.DataFrame({"class": list(classes), "synthetic": synthetic, "agreement": agreement})
