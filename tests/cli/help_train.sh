pha train --help
