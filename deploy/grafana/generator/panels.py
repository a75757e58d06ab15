"""The building blocks of a dashboard: rows of panels, each with a title, a unit and queries, built with Grafana's
own SDK."""
import dataclasses

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as common_model
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models import prometheus as prometheus_model

DATASOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
WIDTH = 24  # of Grafana's grid


@dataclasses.dataclass
class Query:
    expression: str
    legend: str = ""


@dataclasses.dataclass
class Panel:
    title: str
    unit: str  # of Grafana's list: s, bytes, percentunit, short, none, ops, …
    queries: list
    description: str = ""
    kind: str = "lines"  # lines, stacked, number, bars, table
    width: int = 8
    height: int = 7
    red_above: float | None = None  # for a single number: red from this value on
    red_below: float | None = None
    whole: bool = False
    log: bool = False


def lines(title, unit, *queries, **more):
    return Panel(title, unit, list(queries), **more)


def stacked(title, unit, *queries, **more):
    return Panel(title, unit, list(queries), kind="stacked", **more)


def number(title, unit, expression, **more):
    return Panel(title, unit, [Query(expression)], kind="number", **{"width": 3, "height": 4, **more})


def rows_of(title, *queries, **more):
    return Panel(title, "short", list(queries), kind="table", **more)


def thresholds(panel):
    steps = [model.Threshold(value=None, color="red" if panel.red_below is not None else "green")]
    if panel.red_below is not None:
        steps.append(model.Threshold(value=panel.red_below, color="green"))
    if panel.red_above is not None:
        steps.append(model.Threshold(value=panel.red_above, color="red"))
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def build_lines(panel):
    built = (timeseries.Panel().line_width(1.5).fill_opacity(60 if panel.kind == "stacked" else 8).span_nulls(False)
             .show_points(common_model.VisibilityMode.NEVER)
             .legend(common.VizLegendOptions().display_mode(common_model.LegendDisplayMode.LIST)
                     .placement(common_model.LegendPlacement.BOTTOM).show_legend(True))
             .tooltip(common.VizTooltipOptions().mode(common_model.TooltipDisplayMode.MULTI)))
    if panel.kind == "stacked":
        built.stacking(common.StackingConfig().mode(common_model.StackingMode.NORMAL).group("A")).min(0)
    if panel.log:
        built.scale_distribution(common.ScaleDistributionConfig().type(common_model.ScaleDistribution.LOG).log(10))
    return built


def build_number(panel):
    return (stat.Panel().graph_mode(common_model.BigValueGraphMode.AREA).color_mode(common_model.BigValueColorMode.VALUE)
            .thresholds(thresholds(panel)).reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"])))


def build_table(panel):
    # One row for each set of labels: the instant queries are joined, and each one's value gets its legend as title. The
    # first query only supplies the labels.
    hidden = {name: True for name in ("Time", "__name__", "instance", "Value #A")}
    titles = {f"Value #{letter}": query.legend for letter, query in zip("BCDEFGHIJ", panel.queries[1:], strict=False)}
    return table.Panel().show_header(True).transformations([
        model.DataTransformerConfig(id_val="merge", options={}),
        model.DataTransformerConfig(id_val="organize", options={"excludeByName": hidden, "renameByName": titles})])


def build_panel(panel, number_of):
    builders = {"lines": build_lines, "stacked": build_lines, "number": build_number, "table": build_table,
                "bars": lambda _: bargauge.Panel().thresholds(thresholds(panel))}
    built = builders[panel.kind](panel).id(number_of).title(panel.title).unit(panel.unit).datasource(DATASOURCE)
    built.grid_pos(model.GridPos(h=panel.height, w=panel.width))
    if panel.description:
        built.description(panel.description)
    if panel.whole:
        built.decimals(0)
    instant = panel.kind in ("table",)
    targets = []
    for letter, query in zip("ABCDEFGHIJ", panel.queries, strict=False):
        target = prometheus.Dataquery().ref_id(letter).expr(query.expression).legend_format(query.legend or "__auto")
        target.datasource(DATASOURCE)
        if instant:
            target.instant().format(prometheus_model.PromQueryFormat.TABLE)
        else:
            target.range()
        targets.append(target)
    return built.targets(targets)


def place(panels, top):
    """Places panels from left to right, and starts the next line when 24 columns are full. Returns the first free
    line."""
    left = tallest = 0
    for panel in panels:
        if left + panel.grid_pos.w > WIDTH:
            top, left, tallest = top + tallest, 0, 0
        panel.grid_pos.x, panel.grid_pos.y = left, top
        left, tallest = left + panel.grid_pos.w, max(tallest, panel.grid_pos.h)
    return top + tallest


class Built:
    """Wraps a panel that is built already, where a builder is expected."""

    def __init__(self, value):
        self.value = value

    def build(self):
        return self.value


def build_dashboard(uid, title, description, rows, variables=(), span="now-3h"):
    """`rows`: {title: [Panel]}; the variable `datasource` is always included."""
    datasource = (dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
                  .current(model.VariableOption(selected=True, text="Prometheus", value="prometheus")))
    board = (dashboard.Dashboard(title).uid(uid).description(description).tags(["muster"]).timezone("browser")
             .refresh("30s").time(span, "now").tooltip(model.DashboardCursorSync.CROSSHAIR).editable()
             .with_variable(datasource))
    for variable in variables:
        board.with_variable(variable)
    board.link(dashboard.DashboardLink("Muster").type(model.DashboardLinkType.DASHBOARDS).tags(["muster"])
               .as_dropdown(True).include_vars(True).keep_time(True))
    made, top, number_of = board.build(), 0, 0
    made.panels = []
    for row_title, panels in rows.items():
        number_of += 1
        row = dashboard.Row(row_title).id(number_of).build()
        row.grid_pos = model.GridPos(h=1, w=WIDTH, x=0, y=top)
        made.panels.append(row)
        built = []
        for panel in panels:
            number_of += 1
            built.append(build_panel(panel, number_of).build())
        top = place(built, top + 1)
        made.panels.extend(built)
    return made


def job_variable():
    # Jobs that ran within the selected time. The series of ended jobs vanish, their history stays.
    return (dashboard.QueryVariable("job").label("Job").datasource(DATASOURCE)
            .query({"query": "label_values(muster_job_attempt, job)", "refId": "jobs"})
            .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(model.VariableSort.ALPHABETICAL_DESC))
