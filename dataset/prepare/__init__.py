"""Datasets decoded and resized once: `python -m dataset.prepare` writes them, runs with `data.prepared` read them.

    <data.prepared>/<dataset>_<width>x<height>/<kind>/<decoded file>.<stamp>.npy

is what one file became at this size (kinds: image, semseg as ids of the dataset, depth in metres, normals, edges), such
as `cityscapes_1024x512/image/leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png.5ec1c0b3a1f2d4e6.npy`. The stamp
is a hash of name, size and time of change of every file that the values depend on: the array of a file that has changed
since is not found, instead of being misread. Splits, subsets, label sets, crops and augmentations do not enter, so
experiments share the arrays.

Files appear whole, by renaming: a stopped run goes on with what is missing, and any number may write and read at once.
"""
