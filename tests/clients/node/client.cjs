// A task and a service from their creation to their end, by @aws-sdk/client-ecs; prints what it saw as JSON.
// The endpoint, the region and the keys come from the environment, as for any program of a user.

const ecs = require("@aws-sdk/client-ecs");

const client = new ecs.ECSClient({});
const soon = { client, minDelay: 1, maxDelay: 1, maxWaitTime: 30 };
const image = process.argv[2];

async function everything(paginator, member) {
  const pages = [];
  for await (const page of paginator) pages.push(page[member]);
  return pages;
}

async function refusal(command) {
  try {
    await client.send(command);
  } catch (error) {
    return {
      name: error.name,
      message: error.message,
      status: error.$metadata.httpStatusCode,
      isModelled: error instanceof ecs.ECSServiceException,
      isItsClass: error instanceof (ecs[error.name] ?? Number),
    };
  }
  return { name: "none" };
}

async function tasks() {
  const container = { name: "app", image, memory: 16, stopTimeout: 2 };
  const registered = await client.send(
    new ecs.RegisterTaskDefinitionCommand({ family: "node", containerDefinitions: [container] }),
  );
  const made = await client.send(
    new ecs.RunTaskCommand({ taskDefinition: "node", count: 3, tags: [{ key: "by", value: "node" }] }),
  );
  const arns = made.tasks.map((task) => task.taskArn);
  const running = await ecs.waitUntilTasksRunning(soon, { tasks: arns });
  const pages = await everything(
    ecs.paginateListTasks({ client, pageSize: 2 }, { family: "node" }),
    "taskArns",
  );
  const told = await client.send(new ecs.DescribeTasksCommand({ tasks: arns, include: ["TAGS"] }));
  for (const task of arns) await client.send(new ecs.StopTaskCommand({ task, reason: "seen" }));
  const stopped = await ecs.waitUntilTasksStopped(soon, { tasks: arns });
  const after = await client.send(new ecs.DescribeTasksCommand({ tasks: [arns[0]] }));
  return {
    definition: registered.taskDefinition.taskDefinitionArn,
    registeredAt: registered.taskDefinition.registeredAt instanceof Date,
    running: running.state,
    pages: pages.map((page) => page.length),
    listed: pages.flat().sort().join() === [...arns].sort().join(),
    tags: told.tasks[0].tags,
    startedAt: told.tasks[0].startedAt instanceof Date,
    stopped: stopped.state,
    reason: after.tasks[0].stoppedReason,
    exitCode: after.tasks[0].containers[0].exitCode,
  };
}

async function service() {
  await client.send(
    new ecs.CreateServiceCommand({ serviceName: "node", taskDefinition: "node", desiredCount: 2 }),
  );
  const stable = await ecs.waitUntilServicesStable(soon, { services: ["node"] });
  const updated = await client.send(
    new ecs.UpdateServiceCommand({ service: "node", forceNewDeployment: true }),
  );
  const again = await ecs.waitUntilServicesStable(soon, { services: ["node"] });
  const pages = await everything(ecs.paginateListServices({ client }, {}), "serviceArns");
  const gone = await client.send(new ecs.DeleteServiceCommand({ service: "node", force: true }));
  const inactive = await ecs.waitUntilServicesInactive(soon, { services: ["node"] });
  return {
    stable: stable.state,
    deployments: updated.service.deployments.map((deployment) => deployment.status),
    again: again.state,
    listed: pages.flat().length,
    deleted: gone.service.status,
    inactive: inactive.state,
  };
}

async function main() {
  const seen = {
    tasks: await tasks(),
    service: await service(),
    cluster: await refusal(new ecs.ListTasksCommand({ cluster: "nowhere" })),
    task: await refusal(new ecs.StopTaskCommand({ task: "unknown" })),
    validation: await refusal(new ecs.RunTaskCommand({ taskDefinition: "node", launchType: "MOON" })),
    exec: await refusal(
      new ecs.ExecuteCommandCommand({ task: "unknown", command: "ls", interactive: true }),
    ),
    unsupported: await refusal(
      new ecs.CreateTaskSetCommand({ cluster: "default", service: "node", taskDefinition: "node" }),
    ),
  };
  console.log(JSON.stringify(seen));
}

main();
