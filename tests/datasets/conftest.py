"""What tests of data sets share."""

from __future__ import annotations

import numpy as np
import pytest
from random_pictures import pictures

from max78k.datasets.dataset import Dataset, Split
from max78k.datasets.fer import CLASS_NAMES


@pytest.fixture
def dataset() -> Dataset:
    """Three train pictures, two test pictures and a final one of each of FER-2013's classes."""
    train = Split(pictures(21), np.arange(21) % 7)
    test = Split(pictures(14, 1), np.arange(14) % 7)
    return Dataset("d", CLASS_NAMES, train, test, Split(pictures(7, 2), np.arange(7)))
