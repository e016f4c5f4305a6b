"""What every long-running part needs: clock, ids, attempts, back-off, tasks, state folder.

Imports nothing else of Mooring.
"""
