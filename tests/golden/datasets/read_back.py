"""Reads with h5py the file that `mergan data convert` made from the folder `svhn` beside this script."""

import sys

import h5py
import numpy as np

from make import arrays


def main():
    with h5py.File(sys.argv[1]) as file:
        assert list(file["class_names"].asstr()) == [str(digit) for digit in range(10)]
        for split, count in [("train", 160), ("validation", 0), ("test", 3)]:
            images, labels = file[split]["images"], file[split]["labels"]
            assert images.dtype == np.uint8 and images.shape == (count, 32, 32, 3), (split, images)
            assert labels.shape == (count,), (split, labels)
            np.testing.assert_array_equal(images[:], arrays(count, 3, 32))
            np.testing.assert_array_equal(labels[:], (np.arange(count) + 1) % 10)
    print("h5py reads the same images, labels and names")


if __name__ == "__main__":
    main()
