package dev.cube.cli.bench;

import dev.cube.sdk.CommandResult;
import dev.cube.sdk.CubeClient;
import dev.cube.sdk.CubeConfig;
import dev.cube.sdk.CubeException;
import dev.cube.sdk.Sandbox;
import dev.cube.sdk.SandboxOptions;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.function.Function;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** How soon a new sandbox is of use. The sandboxes are made one after the other. */
@Command(name = "first-command", mixinStandardHelpOptions = true, sortOptions = false,
        header = "Measures how soon a new sandbox answers and runs commands.",
        description = {"created: its creation is answered;",
            "first answer: its agent has answered a first question (the status of /), from the same start;",
            "first command, next command: how long commands.run('true') takes, the first time and then."})
final class FirstCommandBench implements Callable<Integer> {
    @Option(names = {"-n", "--number"}, paramLabel = "N", defaultValue = "20",
            description = "sandboxes (default: ${DEFAULT-VALUE})")
    private int number;

    @Option(names = {"-w", "--warmup"}, paramLabel = "W", defaultValue = "2",
            description = "sandboxes first, which do not count (default: ${DEFAULT-VALUE})")
    private int warmup;

    @Option(names = "--next", paramLabel = "K", defaultValue = "5",
            description = "commands after the first one (default: ${DEFAULT-VALUE})")
    private int next;

    @Mixin
    private CommonOptions common;

    private record Sample(double created, double firstAnswer, double firstCommand, List<Double> nextCommands) {}

    @Override
    public Integer call() {
        common.require(number >= 1, "--number must be at least 1");
        SandboxOptions options = common.sandbox();
        try (CubeClient client = new CubeClient(CubeConfig.fromEnvironment())) {
            try (Progress progress = common.progress("warm-up", warmup)) {
                Load.run(1, warmup, progress, () -> once(client, options));
            }
            Load.Outcome<Sample> outcome;
            try (Progress progress = common.progress("measured", number)) {
                outcome = Load.run(1, number, progress, () -> once(client, options));
            }
            report(outcome);
            return outcome.failures().isEmpty() ? 0 : 1;
        }
    }

    private Sample once(CubeClient client, SandboxOptions options) {
        long start = System.nanoTime();
        try (Sandbox sandbox = client.create(options)) {
            double created = Load.millisSince(start);
            sandbox.files().stat("/");
            double firstAnswer = Load.millisSince(start);
            double firstCommand = command(sandbox);
            List<Double> nextCommands = new ArrayList<>();
            for (int i = 0; i < next; i++) {
                nextCommands.add(command(sandbox));
            }
            return new Sample(created, firstAnswer, firstCommand, nextCommands);
        }
    }

    private static double command(Sandbox sandbox) {
        long start = System.nanoTime();
        CommandResult result = sandbox.commands().run("true");
        if (result.exitCode() != 0) {
            throw new CubeException("'true' ended with status " + result.exitCode());
        }
        return Load.millisSince(start);
    }

    private void report(Load.Outcome<Sample> outcome) {
        BenchTable table = new BenchTable("ms", "n", "avg", "min", "P50", "P90", "P95", "P99", "max");
        Map<String, Object> figures = new LinkedHashMap<>();
        add(table, figures, "created", outcome, sample -> List.of(sample.created()));
        add(table, figures, "first answer", outcome, sample -> List.of(sample.firstAnswer()));
        add(table, figures, "first command", outcome, sample -> List.of(sample.firstCommand()));
        add(table, figures, "next command", outcome, Sample::nextCommands);
        common.report(table, BenchReport.of("first-command",
                Map.of("number", number, "warmup", warmup, "next", next), figures, outcome.failures()));
        outcome.failures().stream().findFirst().ifPresent(message -> common.note(
                "%d failed, the first with: %s".formatted(outcome.failures().size(), message)));
    }

    private static void add(BenchTable table, Map<String, Object> figures, String name,
            Load.Outcome<Sample> outcome, Function<Sample, List<Double>> values) {
        Statistics s = Statistics.of(outcome.results().stream().map(values).flatMap(List::stream).toList());
        figures.put(name, s);
        table.row(name, s.count(), s.avg(), s.min(), s.p50(), s.p90(), s.p95(), s.p99(), s.max());
    }
}
