"""In the way of pandas, for the commands that tests start: users of cleancopy have none.

Where pandas is installed, as it is for development, pyarrow loads it: 0.7 CPU seconds a command.
"""

raise ImportError("users of cleancopy have no pandas")
