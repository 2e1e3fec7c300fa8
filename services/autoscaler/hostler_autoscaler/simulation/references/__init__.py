"""Other systems' scaling rules, written from their code and documents, to compare with; catalogue.py has their names."""
