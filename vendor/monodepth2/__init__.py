"""Self-supervised depth from video, as Monodepth2 defines it.

Source: Monodepth2 by Clément Godard, Oisin Mac Aodha, Michael Firman and Gabriel Brostow (Niantic),
https://github.com/nianticlabs/monodepth2, the code of "Digging Into Self-Supervised Monocular Depth Estimation"
(ICCV 2019). Its licence is non-commercial; the implementation here is our own, written from the paper.
"""
