package dev.cube.cli.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.OptionalDouble;
import java.util.stream.Collectors;

/** A comparison as one HTML page that needs nothing else. */
record ReportPage(Comparison comparison) {
    private static final int PLOTS_IN_A_ROW = 3;
    private static final int PAGE_WIDTH = 1080;
    private static final int GAP = 24;
    private static final int PLOT_HEIGHT = 230;

    private static final String STYLE = """
            :root { --page: #fff; --text: #1c2430; --faint: #667085; --line: #e3e7ee; --band: #f6f8fb;
              --s0: #8a93a3; --s1: #1f5fd6; --s2: #c2571a; --s3: #0c8069 }
            @media (prefers-color-scheme: dark) { :root { --page: #14181f; --text: #e6e9ef; --faint: #98a2b3;
              --line: #2b323d; --band: #1b2029; --s0: #8a93a3; --s1: #6ea0ff; --s2: #f0935a; --s3: #4fc3a8 } }
            body { margin: 0; background: var(--page); color: var(--text);
              font: 14px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Arial, sans-serif }
            main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 64px }
            h1 { font-size: 26px; margin: 0 0 8px } h2 { font-size: 18px; margin: 40px 0 4px }
            p { margin: 4px 0; max-width: 110ch } .faint { color: var(--faint) } .fault { color: #c0271d }
            .plots { display: flex; flex-wrap: wrap; gap: 24px; margin-top: 20px } svg { max-width: 100%; height: auto }
            .scroll { overflow-x: auto }
            table { border-collapse: collapse; margin: 10px 0; font-variant-numeric: tabular-nums }
            th, td { padding: 3px 10px; text-align: right; white-space: nowrap } th { font-weight: 600;
              border-bottom: 1px solid var(--faint) } tr.first td { border-top: 1px solid var(--line) }
            td.name, th.name { text-align: left } tr.s1 td { font-weight: 600 } tr.s0 td { color: var(--faint) }
            td.key { color: var(--text) } .summary tr td { font-weight: 400; border-top: 1px solid var(--line) }
            .summary tr td:nth-child(3) { font-weight: 600 }
            code { font: 12px/1.5 ui-monospace, "Liberation Mono", monospace; color: var(--faint) }
            .legend span { margin-right: 20px } .legend i { display: inline-block; width: 11px; height: 11px;
              border-radius: 6px; margin-right: 7px }
            svg text { font: 11px system-ui, "Liberation Sans", Arial, sans-serif; fill: var(--text) }
            svg .title { font-size: 13px; font-weight: 600 } svg .tick { fill: var(--faint) }
            svg .grid { stroke: var(--line) } svg .axis { stroke: var(--faint) }
            svg path { fill: none; stroke-width: 2; stroke-linejoin: round }
            svg path.d1 { stroke-dasharray: 6 4 } svg path.d2 { stroke-dasharray: 1.5 4; stroke-linecap: round }
            """;

    String html() {
        StringBuilder html = new StringBuilder("""
                <!DOCTYPE html>
                <html lang="en">
                <head>
                <meta charset="utf-8">
                <meta name="viewport" content="width=device-width, initial-scale=1">
                <title>Cube, measured</title>
                <style>
                """).append(STYLE);
        for (int system = 0; system < comparison.systems(); system++) {
            String colour = "var(--s%d)".formatted(Math.min(system, 3));
            html.append("svg path.s%1$d { stroke: %2$s } svg circle.s%1$d { fill: %2$s } svg text.s%1$d { fill: %2$s }\n"
                    .formatted(system, colour));
        }
        html.append("</style>\n</head>\n<body>\n<main>\n<h1>Cube, measured</h1>\n");
        introduction(html);
        html.append("<h2>In short</h2>\n");
        table(html, comparison.summary(), 1, "summary");
        html.append("<h2>Plots</h2>\n<p class=\"faint\">Milliseconds, on a logarithmic scale.</p>\n");
        legend(html);
        html.append("<div class=\"plots\">\n");
        comparison.plan().plots().forEach(plot -> html.append(plot(plot)));
        html.append("</div>\n");
        for (ReportPlan.Section section : comparison.plan().sections()) {
            Comparison.Table table = comparison.table(section);
            html.append("<h2>%s</h2>\n<p class=\"faint\">%s</p>\n".formatted(Html.escape(table.title()),
                    Html.escape(table.note())));
            table(html, table, section.keys().size() + 1, "figures");
            commands(html, table);
        }
        return html.append("</main>\n</body>\n</html>\n").toString();
    }

    private void introduction(StringBuilder html) {
        html.append("<p>Milliseconds. <b>wall</b>: first request sent to last one done; <b>per</b>: wall divided by the ")
                .append("number of operations.</p>\n");
        html.append("<p class=\"faint\">%s</p>\n".formatted(Html.escape(comparison.plan().machine())));
        for (ReportRun run : comparison.runs()) {
            html.append("<p><b>%s</b>, %s: %s</p>\n".formatted(Html.escape(run.name()), Html.escape(run.finishedAt()),
                    Html.escape(run.machine().entrySet().stream()
                            .map(entry -> entry.getKey() + " " + entry.getValue()).collect(Collectors.joining("; ")))));
        }
        comparison.faults().forEach(fault ->
                html.append("<p class=\"fault\">Failed: %s</p>\n".formatted(Html.escape(fault))));
    }

    private void legend(StringBuilder html) {
        html.append("<p class=\"legend\">");
        for (int system = 0; system < comparison.systems(); system++) {
            html.append("<span><i style=\"background: var(--s%d)\"></i>%s</span>".formatted(Math.min(system, 3),
                    Html.escape(comparison.name(system))));
        }
        html.append("</p>\n");
    }

    private static void table(StringBuilder html, Comparison.Table table, int names, String kind) {
        html.append("<div class=\"scroll\"><table class=\"%s\">\n<tr>".formatted(kind));
        for (int i = 0; i < table.headings().size(); i++) {
            html.append("<th%s>%s</th>".formatted(i == names - 1 ? " class=\"name\"" : "",
                    Html.escape(table.headings().get(i))));
        }
        html.append("</tr>\n");
        for (Comparison.Row row : table.rows()) {
            boolean first = names > 1 && !row.cells().getFirst().isEmpty();
            html.append("<tr class=\"s%d%s\">".formatted(row.system(), first ? " first" : ""));
            for (int i = 0; i < row.cells().size(); i++) {
                html.append("<td%s>%s</td>".formatted(i == names - 1 ? " class=\"name\"" : i < names ? " class=\"key\"" : "",
                        Html.escape(row.cells().get(i))));
            }
            html.append("</tr>\n");
        }
        html.append("</table></div>\n");
    }

    private static void commands(StringBuilder html, Comparison.Table table) {
        String commands = table.rows().stream().map(Comparison.Row::command).filter(command -> !command.isEmpty())
                .distinct().map(command -> "cube-bench " + Html.escape(command)).collect(Collectors.joining(" · "));
        html.append(commands.isEmpty() ? "" : "<p><code>%s</code></p>\n".formatted(commands));
    }

    /** Plots of several kinds of line get a row of their own. */
    private String plot(ReportPlan.PlotPlan plan) {
        ReportPlan.Section section = comparison.plan().section(plan.section());
        List<Plot.Line> lines = new ArrayList<>();
        for (int system = 0; system < comparison.systems(); system++) {
            for (int kind = 0; kind < plan.lines().size(); kind++) {
                List<Plot.Point> points = points(system, section, plan.lines().get(kind).column());
                if (!points.isEmpty()) {
                    lines.add(new Plot.Line(system, kind, system == 0 ? "" : plan.lines().get(kind).label(), points));
                }
            }
        }
        int one = (PAGE_WIDTH - 2 * GAP - (PLOTS_IN_A_ROW - 1) * GAP) / PLOTS_IN_A_ROW;
        int width = plan.lines().size() > 1 ? PAGE_WIDTH - 2 * GAP : one;
        return new Plot(plan.title(), plan.x(), lines).svg(width, PLOT_HEIGHT);
    }

    private List<Plot.Point> points(int system, ReportPlan.Section section, String column) {
        List<Plot.Point> points = new ArrayList<>();
        for (ReportPlan.Row row : section.rows()) {
            OptionalDouble y = Comparison.number(comparison.figure(system, section, row, column));
            if (y.isPresent() && y.getAsDouble() > 0) {
                points.add(new Plot.Point(row.key().getFirst(), y.getAsDouble()));
            }
        }
        return points;
    }
}
