"""The linear regression of PyTorch's tutorials; only its three import lines are changed."""

import tracec as torch
import tracec.nn as nn
import tracec.optim as optim

# Three points on the line y = 2x + 3.
x = torch.tensor([[1.0], [2.0], [3.0]])
y = torch.tensor([[5.0], [7.0], [9.0]])

model = nn.Linear(1, 1)
criterion = nn.MSELoss()
optimizer = optim.SGD(model.parameters(), lr=0.01)

num_epochs = 1000
for epoch in range(num_epochs):
    # Forward pass
    outputs = model(x)
    loss = criterion(outputs, y)

    # Backward pass and optimization
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

    if (epoch + 1) % 100 == 0:
        print(f"Epoch [{epoch + 1}/{num_epochs}], Loss: {loss.item():.6f}")

[weight, bias] = model.parameters()
print(f"Learned: y = {weight.item():.4f} * x + {bias.item():.4f}")

with torch.no_grad():
    predicted = model(torch.tensor([[4.0]]))
print(f"Prediction for x = 4: {predicted.item():.4f}")
