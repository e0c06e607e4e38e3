// Every step of a client of Orchflow, by the package that OpenAPI Generator (go) has made of /openapi.json.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand"
	"net/http"
	"os"
	"strings"

	orchflow "github.com/example/orchflow"
)

func expect(holds bool, what string, seen any) {
	if !holds {
		log.Fatalf("%s: %+v", what, seen)
	}
}

func must[T any](value T, _ *http.Response, err error) T {
	var refused *orchflow.GenericOpenAPIError
	if errors.As(err, &refused) {
		log.Panicf("%v: %s", err, refused.Body())
	}
	if err != nil {
		log.Panic(err)
	}
	return value
}

func problemOf[T any](_ T, _ *http.Response, err error) orchflow.Problem {
	var refused *orchflow.GenericOpenAPIError
	expect(errors.As(err, &refused), "a refusal", err)
	return refused.Model().(orchflow.Problem)
}

func p[T any](value T) *T { return &value }

func main() {
	configuration := orchflow.NewConfiguration()
	configuration.Servers = orchflow.ServerConfigurations{{URL: os.Getenv("ORCHFLOW_URL")}}
	client := orchflow.NewAPIClient(configuration)
	ctx := context.Background()
	account := orchflow.Register{Name: "Ada", Email: fmt.Sprintf("openapi.generator.go.%d@example.com", rand.Int())}
	registered := must(client.AuthAPI.RegisterAccount(ctx).Register(account).Execute())
	keys := map[string]orchflow.APIKey{"apiKey": {Key: registered.ApiKey}}
	ctx = context.WithValue(ctx, orchflow.ContextAPIKeys, keys)
	runId := answerGate(ctx, client)
	refusals(ctx, client, runId)
	gates(ctx, client)
	pages(ctx, client)
	orchestration(ctx, client)
	definition(ctx, client)
	events := must(client.RunsAPI.FollowRun(ctx, runId).Execute())
	expect(strings.Contains(events, "event: run.completed"), "the events", events)
}

func readRun(ctx context.Context, client *orchflow.APIClient, runId string) *orchflow.Run {
	return must(client.RunsAPI.GetRun(ctx, runId).Wait(30).Execute())
}

func answerGate(ctx context.Context, client *orchflow.APIClient) string {
	goal := orchflow.CreateRun{Task: "Compare three note apps.", AskMeAbout: []orchflow.CreateRunAskMeAboutInner{{String: p("the budget")}}}
	runId := must(client.RunsAPI.CreateRun(ctx).CreateRun(goal).Execute()).RunId
	run := readRun(ctx, client, runId)
	for len(run.WaitingTasks) == 0 {
		run = readRun(ctx, client, runId)
	}
	var answer orchflow.CompleteTask
	answer.SetOutput("Ten euros.")
	answer.SetGateId(run.Tasks[0].Gate.Get().GateId)
	taken := must(client.TasksAPI.CompleteTask(ctx, runId, "T1").CompleteTask(answer).Execute())
	expect(taken.Decision == "approve", "the answer", taken)
	for run.Status != "completed" {
		expect(run.Status != "failed", "the run", run.Error)
		run = readRun(ctx, client, runId)
	}
	expect(*run.FinalOutput.Get() != "" && run.CompletedAt.Get().After(run.CreatedAt), "the run", run)
	return runId
}

func refusals(ctx context.Context, client *orchflow.APIClient, runId string) {
	var other orchflow.CompleteTask
	other.SetOutput("Twenty.")
	standing := problemOf(client.TasksAPI.CompleteTask(ctx, runId, "T1").CompleteTask(other).Execute())
	expect(*standing.Answer.Output.Get() == "Ten euros." && *standing.TaskStatus == "completed", "the 409", standing)
	empty := problemOf(client.RunsAPI.CreateRun(ctx).CreateRun(orchflow.CreateRun{Task: " "}).Execute())
	expect(empty.Errors[0].Pointer == "/task", "the 422", empty)
}

func gates(ctx context.Context, client *orchflow.APIClient) {
	own := orchflow.HumanGate{Name: "the price"}
	own.SetGateDueIn("1d")
	gates := []orchflow.CreateRunHumanGatesInner{{String: p("legal approval")}, {HumanGate: &own}}
	goal := orchflow.CreateRun{Task: "Set a price.", HumanGates: gates}
	runId := must(client.RunsAPI.CreateRun(ctx).CreateRun(goal).Execute()).RunId
	run := must(client.RunsAPI.GetRun(ctx, runId).Execute())
	expect(run.HumanGates[1].HumanGateOfRun.GetGateDueIn() == "1d", "the gate", run.HumanGates)
	cancelled := must(client.RunsAPI.CancelRun(ctx, runId).Execute())
	expect(cancelled.Status == "cancelled", "the cancel", cancelled)
}

func pages(ctx context.Context, client *orchflow.APIClient) {
	first := must(client.RunsAPI.ListRuns(ctx).Limit(1).Execute())
	second := must(client.RunsAPI.ListRuns(ctx).Limit(1).Cursor(first.GetNextCursor()).Execute())
	expect(!second.HasMore && first.Runs[0].RunId != second.Runs[0].RunId, "the pages", second)
}

func orchestration(ctx context.Context, client *orchflow.APIClient) {
	api := client.OrchestrationRunsAPI
	var start orchflow.StartOrchestration
	start.SetMessage("Note apps")
	paused := must(api.RunOrchestration(ctx, "orch-research-report").StartOrchestration(start).Execute()).OrchestrationPaused
	expect(paused != nil && paused.HumanInputRequired.Prompt != "", "the pause", paused)
	answer := orchflow.ResumeOrchestration{Response: map[string]any{"decision": "approve"}}
	ended := must(api.ResumeOrchestrationRun(ctx, paused.RunId).ResumeOrchestration(answer).Execute()).OrchestrationEnded
	expect(ended != nil && ended.Status == "completed" && len(ended.SharedState) > 0, "the end", ended)
	goesOn := must(api.RunOrchestration(ctx, "orch-research-report").StartOrchestration(start).Wait(0).Execute())
	expect(goesOn.OrchestrationGoesOn != nil, "the 202", goesOn)
}

func definition(ctx context.Context, client *orchflow.APIClient) {
	ask := orchflow.HumanStep{Id: "ask", Name: "Ask", Type: "human"}
	ask.SetHumanFields([]orchflow.HumanField{{Name: "size", Type: p("number")}})
	ask.SetNextStepId("end")
	end := orchflow.EndStep{Id: "end", Name: "End", Type: "end"}
	steps := []orchflow.OrchestrationDefinitionStepsInner{{HumanStep: &ask}, {EndStep: &end}}
	body := orchflow.OrchestrationDefinition{Name: "Ask", EntryStepId: "ask", Steps: steps}
	created := must(client.OrchestrationsAPI.CreateOrchestration(ctx).OrchestrationDefinition(body).Execute())
	expect(len(created.Steps) == 2, "the definition", created)
}
