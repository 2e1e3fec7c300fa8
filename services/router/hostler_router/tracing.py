class Tracer: pass
