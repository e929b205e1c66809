"""Where one practises: a small real shop on a small cluster, with faults to find. `runbook_lib` never imports it."""
