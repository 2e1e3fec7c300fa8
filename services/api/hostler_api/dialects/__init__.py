"""Other systems' doors to the same jobs: each package here translates, and none has a state or a rule of its own."""
