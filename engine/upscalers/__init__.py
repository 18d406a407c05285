"""The networks that enlarge pictures, as people own them: each family read from its file by names and shapes alone."""
