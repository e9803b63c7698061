pha help --help
