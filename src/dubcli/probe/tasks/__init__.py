"""The tasks of the paper's table B5: what each is, and readers of HEAR's and the datasets' own layouts."""
