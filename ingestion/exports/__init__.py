"""Rows as files that staff take away: written while they are read, so that a million rows take no more memory than ten.

videos      what a file tells of each video, in staff's words
writing     the formats, one chunk of a file after the other: CSV, JSON
workbook    XLSX, the same way
answers     a file as the answer to a request; who goes away ends the query
"""
