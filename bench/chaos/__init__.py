"""The workers among failing parts: `python -m bench.chaos --minutes 10`, and a short run among the tests.

A seeded plan of faults strikes real parts (PostgreSQL, an S3 server behind a gateway, two supervisors with four workers
each, a local YouTube) while channels are downloaded; then the faults stop, the work is drained, and the audit says which
promises were broken. To be read in this order:

    plan        which fault strikes when; pure        stage      the parts, and what environment the workers get
    gateway     between the workers and S3            processes  who is who among the processes of a supervisor
    faults      what each fault does to the stage     work       the channels that are downloaded, wave by wave
    watch       what the database says meanwhile      conductor  one loop: strikes, restarts, looks
    evidence    what a run leaves behind              promises   what must hold; pure
    recovery    how long each fault was felt; pure    report     words and JSON
"""
