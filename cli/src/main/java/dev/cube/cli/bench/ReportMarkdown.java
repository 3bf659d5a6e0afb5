package dev.cube.cli.bench;

import java.util.List;
import java.util.stream.Collectors;

/** A comparison as Markdown. */
record ReportMarkdown(Comparison comparison) {
    String text() {
        StringBuilder text = new StringBuilder("# Cube, measured\n\n");
        text.append("Milliseconds. `wall`: first request sent to last one done; `per`: wall divided by the number of ")
                .append("operations. ").append(comparison.plan().machine()).append("\n\n");
        for (ReportRun run : comparison.runs()) {
            text.append("- **%s**, %s: %s\n".formatted(escape(run.name()), escape(run.finishedAt()),
                    escape(run.machine().entrySet().stream().map(entry -> entry.getKey() + " " + entry.getValue())
                            .collect(Collectors.joining("; ")))));
        }
        comparison.faults().forEach(fault -> text.append("- Failed: ").append(escape(fault)).append('\n'));
        text.append('\n');
        table(text, comparison.summary());
        comparison.plan().sections().forEach(section -> table(text, comparison.table(section)));
        return text.toString();
    }

    private static void table(StringBuilder text, Comparison.Table table) {
        text.append("## ").append(escape(table.title())).append("\n\n");
        if (!table.note().isEmpty()) {
            text.append(escape(table.note())).append("\n\n");
        }
        line(text, table.headings());
        line(text, table.headings().stream().map(heading -> "---").toList());
        table.rows().forEach(row -> line(text, row.cells()));
        text.append('\n');
        String commands = table.rows().stream().map(Comparison.Row::command).filter(command -> !command.isEmpty())
                .distinct().map(command -> "    bin/cube-bench " + command).collect(Collectors.joining("\n"));
        if (!commands.isEmpty()) {
            text.append(commands).append("\n\n");
        }
    }

    private static void line(StringBuilder text, List<String> cells) {
        text.append(cells.stream().map(ReportMarkdown::escape).collect(Collectors.joining(" | ", "| ", " |")))
                .append('\n');
    }

    private static String escape(String text) {
        return text.replace("|", "\\|").replace("<", "&lt;");
    }
}
