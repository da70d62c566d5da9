"""Datasets decoded and resized once: `python -m dataset.prepare` writes them, `PreparedSource` reads them.

    <data.prepared>/<dataset>_<width>x<height>/part-0001/manifest.json    which row is what, of which files
                                                         frames.npy       uint8 [N,H,W,3]    RGB
                                                         semseg.npy       uint8 [N,H,W]      ids of the dataset
                                                         depth.npy        float32 [N,H,W]    metres
                                                         normals.npy      float32 [N,3,H,W]
                                                         normals_mask.npy bool [N,H,W]
                                                         edges.npy        uint8 [N,H,W]
                                                         intrinsics.npy   float64 [N,3,3]
                                               part-0002/...

A row is what one file became at this size (depth: two files, the map and its camera), and holds as long as the files
have the size and the time they had then. Splits, subsets, label sets, crops and augmentations do not enter, so that
whatever they are, experiments share the rows. A part never changes once it is there; what another run adds (more
splits, tasks or frames, files that changed) is a part of its own.
"""
