"""Files in which others published whole data sets, labels and splits included."""
