import java.math.BigDecimal;
import java.util.Map;
import java.util.concurrent.Callable;
import org.openapitools.client.ApiClient;
import org.openapitools.client.ApiException;
import org.openapitools.client.api.AuthApi;
import org.openapitools.client.api.OrchestrationRunsApi;
import org.openapitools.client.api.OrchestrationsApi;
import org.openapitools.client.api.RunsApi;
import org.openapitools.client.api.TasksApi;
import org.openapitools.client.model.*;

/** Every step of a client of Orchflow, by the package that OpenAPI Generator (java) has made of /openapi.json. */
public class Flow {
  static final BigDecimal WAIT = new BigDecimal(30);
  static ApiClient client;
  static RunsApi runs;

  static void expect(boolean holds, Object seen) {
    if (!holds) throw new AssertionError(seen);
  }

  static Problem refused(Callable<?> call) throws Exception {
    try {
      call.call();
    } catch (ApiException error) {
      return Problem.fromJson(error.getResponseBody());
    }
    throw new AssertionError("It was not refused.");
  }

  public static void main(String[] args) throws Exception {
    client = new ApiClient();
    client.setBasePath(System.getenv("ORCHFLOW_URL"));
    // Waits take longer than the ten seconds of okhttp.
    client.setReadTimeout(60_000);
    Register account = new Register().name("Ada").email("java." + Math.random() + "@example.com");
    client.setApiKey(new AuthApi(client).registerAccount(account).getApiKey());
    runs = new RunsApi(client);
    String runId = answerGate();
    refusals(runId);
    gates();
    pages();
    orchestration();
    definition();
    String events = runs.followRun(runId, null, null);
    expect(events.contains("event: run.completed"), events);
    System.exit(0);
  }

  static Run readRun(String runId) throws ApiException {
    return runs.getRun(runId, null, WAIT, null);
  }

  static String answerGate() throws ApiException {
    CreateRun goal = new CreateRun().task("Compare three note apps.");
    goal.addAskMeAboutItem(new CreateRunAskMeAboutInner("the budget"));
    String runId = runs.createRun(goal, null).getRunId();
    Run run = readRun(runId);
    while (run.getWaitingTasks().isEmpty()) run = readRun(runId);
    String gateId = run.getTasks().get(0).getGate().getGateId();
    CompleteTask answer = new CompleteTask().output("Ten euros.").gateId(gateId);
    TaskCompleted taken = new TasksApi(client).completeTask(runId, "T1", answer, null);
    expect(taken.getDecision() == TaskCompleted.DecisionEnum.APPROVE, taken);
    while (run.getStatus() != Run.StatusEnum.COMPLETED) {
      expect(run.getStatus() != Run.StatusEnum.FAILED, run);
      run = readRun(runId);
    }
    expect(!run.getFinalOutput().isEmpty() && run.getCompletedAt().isAfter(run.getCreatedAt()), run);
    return runId;
  }

  static void refusals(String runId) throws Exception {
    CompleteTask other = new CompleteTask().output("Twenty.");
    Problem again = refused(() -> new TasksApi(client).completeTask(runId, "T1", other, null));
    expect(again.getAnswer().getOutput().equals("Ten euros."), again);
    Problem empty = refused(() -> runs.createRun(new CreateRun().task(" "), null));
    expect(empty.getErrors().get(0).getPointer().equals("/task"), empty);
  }

  static void gates() throws ApiException {
    HumanGate own = new HumanGate().name("the price").gateDueIn("1d");
    CreateRun goal = new CreateRun().task("Set a price.");
    goal.addHumanGatesItem(new CreateRunHumanGatesInner("legal approval"));
    goal.addHumanGatesItem(new CreateRunHumanGatesInner(own));
    String runId = runs.createRun(goal, null).getRunId();
    Run run = runs.getRun(runId, null, null, null);
    expect(run.getHumanGates().get(1).getHumanGateOfRun().getGateDueIn().equals("1d"), run);
    expect(runs.cancelRun(runId, null, null, null).getStatus() == RunCancelled.StatusEnum.CANCELLED, runId);
  }

  static RunList listOne(String cursor) throws ApiException {
    return runs.listRuns(
        1, cursor, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
  }

  static void pages() throws ApiException {
    RunList first = listOne(null);
    RunList second = listOne(first.getNextCursor());
    expect(!second.getHasMore(), second);
    expect(!second.getRuns().get(0).getRunId().equals(first.getRuns().get(0).getRunId()), second);
  }

  static void orchestration() throws ApiException {
    OrchestrationRunsApi api = new OrchestrationRunsApi(client);
    StartOrchestration start = new StartOrchestration().message("Note apps");
    OrchestrationPaused paused = api.runOrchestration("orch-research-report", start, null, null).getOrchestrationPaused();
    expect(!paused.getHumanInputRequired().getPrompt().isEmpty(), paused);
    ResumeOrchestration answer = new ResumeOrchestration().response(Map.of("decision", "approve"));
    OrchestrationEnded ended = api.resumeOrchestrationRun(paused.getRunId(), answer, null, null).getOrchestrationEnded();
    expect(ended.getStatus() == OrchestrationEnded.StatusEnum.COMPLETED && !ended.getSharedState().isEmpty(), ended);
    OrchestrationAnswer goesOn = api.runOrchestration("orch-research-report", start, BigDecimal.ZERO, null);
    expect(goesOn.getOrchestrationGoesOn().getRunId() != null, goesOn);
  }

  static void definition() throws ApiException {
    HumanField size = new HumanField().name("size").type(HumanField.TypeEnum.NUMBER);
    HumanStep ask = new HumanStep().id("ask").name("Ask").type(HumanStep.TypeEnum.HUMAN).nextStepId("end");
    ask.addHumanFieldsItem(size);
    EndStep end = new EndStep().id("end").name("End").type(EndStep.TypeEnum.END);
    OrchestrationDefinition body = new OrchestrationDefinition().name("Ask").entryStepId("ask");
    body.addStepsItem(new OrchestrationDefinitionStepsInner(ask));
    body.addStepsItem(new OrchestrationDefinitionStepsInner(end));
    Orchestration created = new OrchestrationsApi(client).createOrchestration(body, null);
    expect(created.getSteps().size() == 2, created);
  }
}
