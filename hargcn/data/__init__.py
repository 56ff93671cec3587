"""From files of key points to windows: recordings, preprocessing, cutting, sets, the HDF5 file."""
