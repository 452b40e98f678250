"""Data sets: drawn faces, FER-2013, folders of images, arrays."""
