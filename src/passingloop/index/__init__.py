"""What the directories of all runs say, kept in a file so that few of them have to be read."""
