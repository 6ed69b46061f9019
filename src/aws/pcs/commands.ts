import { PcsCommand } from './command.ts';

export class CreateClusterCommand extends PcsCommand<'CreateCluster'> {
  readonly operation = 'CreateCluster';
}
export class GetClusterCommand extends PcsCommand<'GetCluster'> {
  readonly operation = 'GetCluster';
}
export class ListClustersCommand extends PcsCommand<'ListClusters'> {
  readonly operation = 'ListClusters';
}
export class UpdateClusterCommand extends PcsCommand<'UpdateCluster'> {
  readonly operation = 'UpdateCluster';
}
export class DeleteClusterCommand extends PcsCommand<'DeleteCluster'> {
  readonly operation = 'DeleteCluster';
}
export class CreateComputeNodeGroupCommand extends PcsCommand<'CreateComputeNodeGroup'> {
  readonly operation = 'CreateComputeNodeGroup';
}
export class GetComputeNodeGroupCommand extends PcsCommand<'GetComputeNodeGroup'> {
  readonly operation = 'GetComputeNodeGroup';
}
export class ListComputeNodeGroupsCommand extends PcsCommand<'ListComputeNodeGroups'> {
  readonly operation = 'ListComputeNodeGroups';
}
export class UpdateComputeNodeGroupCommand extends PcsCommand<'UpdateComputeNodeGroup'> {
  readonly operation = 'UpdateComputeNodeGroup';
}
export class DeleteComputeNodeGroupCommand extends PcsCommand<'DeleteComputeNodeGroup'> {
  readonly operation = 'DeleteComputeNodeGroup';
}
export class CreateQueueCommand extends PcsCommand<'CreateQueue'> {
  readonly operation = 'CreateQueue';
}
export class GetQueueCommand extends PcsCommand<'GetQueue'> {
  readonly operation = 'GetQueue';
}
export class ListQueuesCommand extends PcsCommand<'ListQueues'> {
  readonly operation = 'ListQueues';
}
export class UpdateQueueCommand extends PcsCommand<'UpdateQueue'> {
  readonly operation = 'UpdateQueue';
}
export class DeleteQueueCommand extends PcsCommand<'DeleteQueue'> {
  readonly operation = 'DeleteQueue';
}
export class TagResourceCommand extends PcsCommand<'TagResource'> {
  readonly operation = 'TagResource';
}
export class UntagResourceCommand extends PcsCommand<'UntagResource'> {
  readonly operation = 'UntagResource';
}
export class ListTagsForResourceCommand extends PcsCommand<'ListTagsForResource'> {
  readonly operation = 'ListTagsForResource';
}
