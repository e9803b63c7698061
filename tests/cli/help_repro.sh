pha repro --help
