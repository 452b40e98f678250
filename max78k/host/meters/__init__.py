"""Current meters behind one interface (``meter``), what they recorded turned into energy."""
