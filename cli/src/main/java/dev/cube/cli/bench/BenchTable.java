package dev.cube.cli.bench;

import dev.cube.cli.Table;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** A benchmark's figures as a table. */
final class BenchTable {
    private final String[] headings;
    private final List<Object[]> rows = new ArrayList<>();

    BenchTable(String... headings) {
        this.headings = headings;
    }

    BenchTable row(Object... cells) {
        for (int i = 0; i < cells.length; i++) {
            if (cells[i] instanceof Double number) {
                cells[i] = number.isNaN() ? "" : String.format(Locale.ROOT, "%.1f", number);
            }
        }
        rows.add(cells);
        return this;
    }

    String text(boolean withHeadings) {
        Table table = withHeadings ? Table.ofNumbers(headings) : Table.ofNumbers();
        rows.forEach(table::row);
        return table.toString();
    }
}
