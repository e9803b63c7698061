pha lab --help
