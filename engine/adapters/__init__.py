"""What is put into or beside a model: files of adapters into changes of weights, modules and vectors."""
