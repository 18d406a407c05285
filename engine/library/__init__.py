"""The models a person owns: found, recognised, checked."""
