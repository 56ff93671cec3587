"""Files that pose trackers write."""
