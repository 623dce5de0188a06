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
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record:  # None of hidden ones
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
