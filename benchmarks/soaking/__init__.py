"""Mixed load on the three services for as long as is wanted, and what they hold meanwhile.

soak ─▶ load ─▶ requests        what is asked, and which answers are right
   ├──▶ watch                   memory, descriptors, threads and processes of a service
   └──▶ verdict                 whether anything grew
"""
