"""Where one practises: a small real shop on a small cluster, with real servers beside it and real faults to put in."""
