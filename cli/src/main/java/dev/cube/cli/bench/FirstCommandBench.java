package dev.cube.cli.bench;

import dev.cube.sdk.CommandResult;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.Sandbox;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Function;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** How soon a new sandbox is of use. The sandboxes are made one after the other. */
@Command(name = "first-command", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures how soon a new sandbox answers and runs commands, or code.",
        description = {"created: its creation is answered;",
            "first answer: its agent has answered a first question (the status of /), from the same start;",
            "first command, next command: how long commands.run('true') takes, the first time and then;",
            "first code, next code: with --code, the same of runCode('1+1')."})
final class FirstCommandBench extends Benchmark {
    @Mixin
    private final NumberOption number = new NumberOption(20);

    @Option(names = {"-w", "--warmup"}, paramLabel = "W", defaultValue = "2", converter = Count.FromZero.class,
            description = "sandboxes first, which do not count (default: ${DEFAULT-VALUE})")
    private int warmup;

    @Option(names = "--next", paramLabel = "K", defaultValue = "5", converter = Count.FromZero.class,
            description = "commands after the first one (default: ${DEFAULT-VALUE})")
    private int next;

    @Option(names = "--pause", paramLabel = "MS", defaultValue = "0", converter = Count.FromZero.class,
            description = "milliseconds before each sandbox, in which the server may get ready for it "
                    + "(default: ${DEFAULT-VALUE})")
    private int pause;

    @Option(names = "--code", description = "run code instead of commands")
    private boolean code;

    private record Sample(double created, double firstAnswer, double firstRun, List<Double> nextRuns) {}

    @Override
    Measured measure(Target target) {
        try (Progress progress = target.progress("warm-up", warmup)) {
            Load.run(1, warmup, progress, () -> once(target));
        }
        try (Progress progress = target.progress("measured", number.value())) {
            return report(Load.run(1, number.value(), progress, () -> once(target)));
        }
    }

    private Sample once(Target target) {
        LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(pause));
        long start = System.nanoTime();
        try (Sandbox sandbox = target.client().create(target.options())) {
            double created = Load.millisSince(start);
            sandbox.files().stat("/");
            double firstAnswer = Load.millisSince(start);
            double firstRun = run(sandbox);
            List<Double> nextRuns = new ArrayList<>();
            for (int i = 0; i < next; i++) {
                nextRuns.add(run(sandbox));
            }
            return new Sample(created, firstAnswer, firstRun, nextRuns);
        }
    }

    private double run(Sandbox sandbox) {
        long start = System.nanoTime();
        if (code) {
            String text = sandbox.runCode("1+1").text();
            if (!"2".equals(text)) {
                throw new CubeException("1+1 was " + text);
            }
            return Load.millisSince(start);
        }
        CommandResult result = sandbox.commands().run("true");
        if (result.exitCode() != 0) {
            throw new CubeException("'true' ended with status " + result.exitCode());
        }
        return Load.millisSince(start);
    }

    private Measured report(Load.Outcome<Sample> outcome) {
        BenchTable table = new BenchTable("ms", "n", "avg", "min", "P50", "P90", "P95", "P99", "max");
        Map<String, Object> figures = new LinkedHashMap<>();
        add(table, figures, "created", outcome, sample -> List.of(sample.created()));
        add(table, figures, "first answer", outcome, sample -> List.of(sample.firstAnswer()));
        String what = code ? "code" : "command";
        add(table, figures, "first " + what, outcome, sample -> List.of(sample.firstRun()));
        add(table, figures, "next " + what, outcome, Sample::nextRuns);
        return Measured.of(table, BenchReport.of("first-command",
                Map.of("number", number.value(), "warmup", warmup, "next", next, "pause", pause), figures,
                outcome.failures()));
    }

    private static void add(BenchTable table, Map<String, Object> figures, String name,
            Load.Outcome<Sample> outcome, Function<Sample, List<Double>> values) {
        Statistics s = Statistics.of(outcome.results().stream().map(values).flatMap(List::stream).toList());
        figures.put(name, s);
        table.row(name, s.count(), s.avg(), s.min(), s.p50(), s.p90(), s.p95(), s.p99(), s.max());
    }
}
