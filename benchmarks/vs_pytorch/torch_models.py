"""BERT and GPT-2 in plain PyTorch, as one would write them for speed: one product for query, key and value,
scaled_dot_product_attention, logits only where a loss needs them, tied output weights."""
import torch
import torch.nn.functional as F
from torch import nn

SHAPES = {
    "bert-base": {"hidden": 768, "layers": 12, "heads": 12},
    "bert-large": {"hidden": 1024, "layers": 24, "heads": 16},
    "gpt2-124m": {"hidden": 768, "layers": 12, "heads": 12},
}
BERT_VOCABULARY = 30522
GPT2_VOCABULARY = 50304  # 50257, padded to a multiple of 64


class Attention(nn.Module):
    def __init__(self, hidden, heads, dropout, causal):
        super().__init__()
        self.heads, self.dropout, self.causal = heads, dropout, causal
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)

    def forward(self, x):
        batch, length, hidden = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, hidden // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout, is_causal=self.causal)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, hidden))


class BertBlock(nn.Module):
    def __init__(self, hidden, heads, dropout):
        super().__init__()
        self.dropout = dropout
        self.attention = Attention(hidden, heads, dropout, causal=False)
        self.attention_norm = nn.LayerNorm(hidden, eps=1e-12)
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)
        self.mlp_norm = nn.LayerNorm(hidden, eps=1e-12)

    def forward(self, x):
        x = self.attention_norm(x + F.dropout(self.attention(x), self.dropout))
        return self.mlp_norm(x + F.dropout(self.down(F.gelu(self.up(x))), self.dropout))


class Bert(nn.Module):
    """With the masked-language-model head alone."""

    def __init__(self, hidden, layers, heads, positions, dropout=0.1):
        super().__init__()
        self.dropout = dropout
        self.words = nn.Embedding(BERT_VOCABULARY, hidden)
        self.positions = nn.Embedding(positions, hidden)
        self.types = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        self.blocks = nn.ModuleList(BertBlock(hidden, heads, dropout) for _ in range(layers))
        self.transform = nn.Linear(hidden, hidden)
        self.transform_norm = nn.LayerNorm(hidden, eps=1e-12)
        self.bias = nn.Parameter(torch.zeros(BERT_VOCABULARY))

    def forward(self, ids, types, places, targets):
        x = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.types(types)
        x = F.dropout(self.norm(x), self.dropout)
        for block in self.blocks:
            x = block(x)
        masked = x.reshape(-1, x.shape[-1])[places]
        masked = self.transform_norm(F.gelu(self.transform(masked)))
        return F.cross_entropy(F.linear(masked, self.words.weight, self.bias).float(), targets)


class Gpt2Block(nn.Module):
    def __init__(self, hidden, heads):
        super().__init__()
        self.attention_norm = nn.LayerNorm(hidden)
        self.attention = Attention(hidden, heads, 0.0, causal=True)
        self.mlp_norm = nn.LayerNorm(hidden)
        self.up = nn.Linear(hidden, 4 * hidden)
        self.down = nn.Linear(4 * hidden, hidden)

    def forward(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(F.gelu(self.up(self.mlp_norm(x)), approximate="tanh"))


class Gpt2(nn.Module):
    def __init__(self, hidden, layers, heads, positions):
        super().__init__()
        self.words = nn.Embedding(GPT2_VOCABULARY, hidden)
        self.positions = nn.Embedding(positions, hidden)
        self.blocks = nn.ModuleList(Gpt2Block(hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(hidden)

    def forward(self, ids, targets):
        x = self.words(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        logits = F.linear(self.norm(x), self.words.weight)
        return F.cross_entropy(logits.view(-1, GPT2_VOCABULARY).float(), targets.view(-1))


def make_model(name, layers, length):
    shape = {**SHAPES[name], "positions": max(512, length)}
    if layers:
        shape["layers"] = layers
    model = Gpt2(**shape) if name.startswith("gpt2") else Bert(**shape)
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=0.02)
            if getattr(module, "bias", None) is not None:
                nn.init.zeros_(module.bias)
    return model.train()


def make_batch(name, generator, batch, length, masked):
    """What the model's forward() takes, from random words."""
    if name.startswith("gpt2"):
        ids = torch.randint(0, 50257, (batch, length + 1), generator=generator)
        return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()
    ids = torch.randint(1000, BERT_VOCABULARY, (batch, length), generator=generator)
    places = torch.randperm(batch * length, generator=generator)[:masked].sort().values
    targets = ids.view(-1)[places].clone()
    ids.view(-1)[places] = 103  # [MASK]
    return ids, torch.zeros_like(ids), places, targets
