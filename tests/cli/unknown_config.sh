pha train -c zzzzzz-none -d d -o o
