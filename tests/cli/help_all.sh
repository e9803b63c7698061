pha help && pha --help | cmp - <(pha help) && pha -h | cmp - <(pha help)
