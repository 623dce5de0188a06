"""Commands of many options, which --help shows in groups."""

import click


class GroupedCommand(click.Command):
    """`groups` is a dict of headings, each under the name of the parameter with which its group begins."""

    def __init__(self, *args, groups, **kwargs):
        super().__init__(*args, **kwargs)
        self._groups = groups

    def format_options(self, ctx, formatter):
        sections, heading = {}, "Options"
        for param in self.get_params(ctx):
            heading = self._groups.get(param.name, heading)
            if record := param.get_help_record(ctx):  # None of arguments
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
