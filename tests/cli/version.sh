pha version && pha --version | cmp - <(pha version)
