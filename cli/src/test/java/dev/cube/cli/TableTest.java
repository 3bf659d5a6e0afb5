package dev.cube.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class TableTest {
    @Test
    void alignsColumns() {
        assertThat(Table.of("ID", "NAME").row("1", "long name").row("234", null).toString().lines())
                .containsExactly("ID   NAME", "1    long name", "234  -");
    }

    @Test
    void alignsNumbersToTheRight() {
        assertThat(Table.ofNumbers("n", "ms").row(1, "123.4").row(20, "5.0").toString().lines())
                .containsExactly(" n     ms", " 1  123.4", "20    5.0");
    }

    @Test
    void leavesOutAbsentHeadings() {
        assertThat(Table.ofNumbers().row(1, 2).toString().lines()).containsExactly("1  2");
    }

    @Test
    void printsNothingThatSteersATerminal() {
        assertThat(Table.ofFields().row("\u001b[31mred\nline").toString().lines()).containsExactly("?[31mred?line");
    }
}
