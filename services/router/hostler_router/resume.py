class Resume:
    @staticmethod
    def supports(runtime): return False
